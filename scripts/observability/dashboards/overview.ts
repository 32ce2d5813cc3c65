import type { Dashboard } from '../dashboard.ts';
import { by, ofPool, one, own, perSecond, quantile, sum } from '../query.ts';
import { chosen, perBudget, ratioOf, SLOS, scopeLegend } from '../slo.ts';

export const OVERVIEW: Dashboard = {
  uid: 'voice-fleet-overview',
  title: 'Voice fleet / Overview',
  description: 'Is the fleet well, and if not, which dashboard to open next.',
  pool: true,
  rows: [
    {
      title: 'What talkers feel',
      panels: [
        {
          title: 'Sessions',
          description: 'Admitted sessions by protocol.',
          unit: 'short',
          queries: by('protocol', sum(own('voice_gateway_sessions_active'), 'protocol')),
        },
        {
          title: 'Admissions',
          description: 'How starts of sessions end. rejected_capacity and error spend the budget.',
          unit: 'reqps',
          queries: by('outcome', perSecond(own('voice_gateway_admissions_total'), 'outcome')),
        },
        {
          title: 'First text, p95',
          description: 'From the first audio of an utterance to its first text. Aimed at: 0.8 s.',
          unit: 's',
          queries: by(
            'pool',
            quantile(0.95, ofPool('voice_worker_asr_first_partial_seconds_bucket'), 'pool'),
          ),
          exemplars: true,
        },
        {
          title: 'Final, p95',
          description: 'From the end of an utterance to its final. Aimed at: 1.5 s.',
          unit: 's',
          queries: by(
            'pool',
            quantile(0.95, ofPool('voice_worker_asr_final_latency_seconds_bucket'), 'pool'),
          ),
          exemplars: true,
        },
        {
          title: 'Steps of a turn, p95',
          description:
            'First partial and final since the first audio; token and speech since the final.',
          unit: 's',
          queries: by(
            'delta',
            quantile(0.95, own('voice_gateway_voice_latency_seconds_bucket'), 'delta'),
          ),
          exemplars: true,
        },
        {
          title: 'Errors',
          description:
            'Errors told to clients, by what they mean for them. fatal ends a connection.',
          unit: 'ops',
          queries: by('tier', perSecond(own('voice_gateway_errors_total'), 'tier')),
        },
      ],
    },
    {
      title: 'What it has left',
      panels: [
        {
          title: 'Slots taken',
          description:
            'Part of the slots that sessions have. Above 0.9 a lost worker leaves no room.',
          unit: 'percentunit',
          queries: by(
            'pool',
            `${sum(ofPool('voice_worker_slots_used'), 'pool')} / (${sum(ofPool('voice_worker_slots'), 'pool')} > 0)`,
          ),
        },
        {
          title: 'Ready workers',
          description: 'Workers that take sessions.',
          unit: 'short',
          queries: by('pool', sum(ofPool('voice_worker_ready'), 'pool')),
        },
        {
          title: 'Error budget left',
          description: 'Of 30 days. At 0 the promise is broken; below, by how much.',
          unit: 'percentunit',
          kind: 'stat',
          queries: SLOS.map((slo) =>
            one(
              `${slo.name} ${scopeLegend(slo)}`,
              `1 - ${perBudget(slo, chosen(slo, ratioOf(slo, '30d')))}`,
            ),
          ),
        },
        {
          title: 'What runs',
          description: 'Instances by service and version. Two versions are a rollout.',
          unit: 'short',
          kind: 'stat',
          queries: [
            one(
              '{{service}} {{version}}',
              `count by (service, version) (${own('voice_build_info')})`,
            ),
          ],
        },
        {
          title: 'Alerts',
          description: 'What fires now.',
          unit: 'short',
          queries: [
            one(
              '{{alertname}}',
              'sum by (alertname) (ALERTS{alertstate="firing",alertname=~"Voice.+"}) or vector(0)',
            ),
          ],
        },
        {
          title: 'Spans',
          description: 'Of traces. dropped or failed: traces have holes, the fleet is well.',
          unit: 'ops',
          queries: by('outcome', perSecond(own('voice_trace_spans_total'), 'outcome')),
        },
        {
          title: 'Replies',
          description: 'Turns of the voice pipeline by how they ended.',
          unit: 'ops',
          queries: by('outcome', perSecond(own('voice_gateway_turns_total'), 'outcome')),
        },
      ],
    },
  ],
};
