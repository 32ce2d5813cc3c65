import type { Dashboard, Row } from '../dashboard.ts';
import { by, one, own, perSecond, quantile, quantiles, recordedOf, sum } from '../query.ts';
import {
  BURNS,
  chosen,
  eventsOf,
  perBudget,
  ratioOf,
  SLOS,
  type Slo,
  scopeLegend,
  titleOf,
} from '../slo.ts';

export const TENANTS: Dashboard = {
  uid: 'voice-fleet-tenants',
  title: 'Voice fleet / Tenants',
  description: 'By the priority of tenants. Single tenants are not in metrics: ask /v1/usage.',
  pool: false,
  rows: [
    {
      title: 'Tiers',
      panels: [
        {
          title: 'Sessions by tier',
          description: 'Admitted sessions that are not over.',
          unit: 'short',
          queries: by('tenant_tier', sum(own('voice_gateway_tier_sessions_active'), 'tenant_tier')),
        },
        {
          title: 'Audio by tier',
          description: 'Seconds of audio that come in a second.',
          unit: 'short',
          queries: by(
            'tenant_tier',
            perSecond(own('voice_gateway_tier_audio_seconds_total'), 'tenant_tier'),
          ),
        },
        {
          title: 'Admissions by tier',
          description: 'Of tenants that are known: how their sessions start.',
          unit: 'reqps',
          queries: [
            one(
              '{{tenant_tier}} {{outcome}}',
              perSecond(own('voice_gateway_tier_admissions_total'), 'tenant_tier, outcome'),
            ),
          ],
        },
        {
          title: 'Accepted, of all by tier',
          description:
            'Of starts that no limit of the tenant refused. A low tier waits first, and is refused first.',
          unit: 'percentunit',
          queries: by(
            'tenant_tier',
            `${perSecond(own('voice_gateway_tier_admissions_total', 'outcome=~"accepted|resumed"'), 'tenant_tier')} / ${perSecond(own('voice_gateway_tier_admissions_total', 'outcome=~"accepted|resumed|rejected_capacity|error"'), 'tenant_tier')}`,
          ),
        },
      ],
    },
    {
      title: 'Limits',
      panels: [
        {
          title: 'Refused by limits of tenants',
          description: 'Sessions at once, new ones in a second, audio of the day.',
          unit: 'reqps',
          queries: [
            one(
              'limits',
              perSecond(own('voice_gateway_admissions_total', 'outcome="rejected_limit"')),
            ),
            one(
              'before the upgrade',
              perSecond(own('voice_gateway_upgrades_refused_total', 'reason="tenant_limit"')),
            ),
          ],
        },
        {
          title: 'Refused leases',
          description: 'What Redis said no to.',
          unit: 'ops',
          queries: by(
            'outcome',
            perSecond(
              own(
                'voice_lease_operations_total',
                'op="acquire",outcome=~"tenant_.+|line_full|limit"',
              ),
              'outcome',
            ),
          ),
        },
        {
          title: 'Wrong keys',
          description: 'A step up may be a guess, or a key that was replaced too early.',
          unit: 'reqps',
          queries: [
            one(
              'refused',
              perSecond(own('voice_gateway_admissions_total', 'outcome="rejected_auth"')),
            ),
          ],
        },
      ],
    },
  ],
};

export const BATCH: Dashboard = {
  uid: 'voice-fleet-batch',
  title: 'Voice fleet / Batch',
  description: 'Jobs from their making to their end.',
  pool: false,
  rows: [
    {
      title: 'Jobs',
      panels: [
        {
          title: 'Jobs by state',
          description: 'Of the whole fleet. delayed: to be tried again.',
          unit: 'short',
          queries: by('state', `max by (state) (${own('voice_batch_jobs')})`),
        },
        {
          title: 'Made',
          description: 'same: a request that was sent twice.',
          unit: 'reqps',
          queries: by('outcome', perSecond(own('voice_gateway_jobs_submitted_total'), 'outcome')),
        },
        {
          title: 'Runs by outcome',
          description: 'gave_way: a session needed the slot. quarantined: given up.',
          unit: 'ops',
          queries: by('outcome', perSecond(own('voice_worker_batch_jobs_total'), 'outcome')),
        },
        {
          title: 'Wait of jobs',
          description: 'From the making of a job until it is first begun.',
          unit: 's',
          queries: quantiles(own('voice_batch_job_wait_seconds_bucket')),
        },
        {
          title: 'Length of runs, p95',
          description: 'By how they ended.',
          unit: 's',
          queries: by(
            'outcome',
            quantile(0.95, own('voice_batch_job_duration_seconds_bucket'), 'outcome'),
          ),
        },
        {
          title: 'Under way',
          description: 'Jobs that each worker does now, beside its sessions.',
          unit: 'short',
          queries: by('instance', sum(own('voice_worker_batch_jobs_running'), 'instance')),
        },
        {
          title: 'Swept',
          description: 'Recordings and records of jobs removed, as they were kept long enough.',
          unit: 'ops',
          queries: by('what', perSecond(own('voice_gateway_jobs_swept_total'), 'what')),
        },
        {
          title: 'Audio of jobs',
          description: 'Seconds transcribed in a second.',
          unit: 'short',
          queries: [one('audio', perSecond(own('voice_worker_batch_audio_seconds_total')))],
        },
        {
          title: 'Stalled',
          description: 'Jobs given back, as their worker was not heard of.',
          unit: 'ops',
          queries: [one('stalled', perSecond(own('voice_batch_stalled_total')))],
        },
        {
          title: 'Webhooks',
          description:
            'Attempts to tell of jobs that are over, by how they ended, and those that wait.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_gateway_webhook_attempts_total'), 'outcome')),
            one('waiting', `max (${own('voice_gateway_webhooks_waiting')})`),
          ],
        },
        {
          title: 'Attempts of webhooks, p95',
          description: 'How long those who are told take to answer.',
          unit: 's',
          queries: [
            one(
              'p95',
              quantile(0.95, own('voice_gateway_webhook_attempt_duration_seconds_bucket')),
            ),
          ],
        },
        {
          title: 'Waiting, as gateways see it',
          description: 'Differs from the above only while Redis is away.',
          unit: 'short',
          queries: [one('waiting', `max (${own('voice_gateway_jobs_waiting')})`)],
        },
      ],
    },
  ],
};

function budgetRow(slo: Slo): Row {
  const burns = BURNS.map(({ factor, long, short }) => `${factor} over ${long} and ${short}`);
  return {
    title: titleOf(slo),
    panels: [
      {
        title: `Budget left: ${slo.name}`,
        description: 'Of 30 days. Below zero the promise is broken.',
        unit: 'percentunit',
        kind: 'stat',
        queries: [one(scopeLegend(slo), `1 - ${perBudget(slo, chosen(slo, ratioOf(slo, '30d')))}`)],
      },
      {
        title: `Burn rate: ${slo.name}`,
        description: `How many times too fast the budget is spent. Alerts: ${burns.join(', ')}.`,
        unit: 'short',
        queries: ['5m', '30m', '1h', '6h', '3d'].map((window) =>
          one(`${scopeLegend(slo)} ${window}`, perBudget(slo, chosen(slo, ratioOf(slo, window)))),
        ),
      },
      {
        title: `Events: ${slo.name}`,
        description: 'In a second, over an hour. Few events make ratios jump.',
        unit: 'ops',
        queries: [one(scopeLegend(slo), chosen(slo, eventsOf(slo, '1h')))],
      },
    ],
  };
}

export const SLO: Dashboard = {
  uid: 'voice-fleet-slo',
  title: 'Voice fleet / SLO and error budget',
  description:
    'What was promised, and how much of what may go wrong has gone wrong: docs/operations/slo.md.',
  pool: true,
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Sessions now',
          description: 'Without sessions there is nothing to measure, and ratios have gaps.',
          unit: 'short',
          queries: by('protocol', sum(own('voice_gateway_sessions_active'), 'protocol')),
        },
        {
          title: 'Burning',
          description: 'Alerts on budgets that fire now.',
          unit: 'short',
          queries: [
            one(
              '{{alertname}}',
              `${sum(recordedOf('ALERTS', 'alertstate="firing",alertname=~"Voice.+Burn.+"'), 'alertname')} or vector(0)`,
            ),
          ],
        },
      ],
    },
    ...SLOS.map(budgetRow),
  ],
};
