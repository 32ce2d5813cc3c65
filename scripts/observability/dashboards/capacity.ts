import type { Dashboard } from '../dashboard.ts';
import { by, ofNamespaces, ofPool, one, own, perSecond, quantile, rate, sum } from '../query.ts';

/** Names of autoscalers as the chart gives them. */
const SCALED = '=~".+-(asr-worker-.+|gateway|llm-tts)"';
const hpa = (metric: string): string =>
  ofNamespaces(
    (matchers) =>
      `kube_horizontalpodautoscaler_${metric}{${matchers},horizontalpodautoscaler${SCALED}}`,
  );
const keda = (metric: string): ((matchers: string) => string) => {
  return (matchers) => `keda_scaler_${metric}{${matchers},scaledObject${SCALED}}`;
};

/** Each gateway tells the same of the whole fleet. */
const greatest = (metric: string): string => `max by (pool) (${ofPool(metric)})`;

export const CAPACITY: Dashboard = {
  uid: 'voice-fleet-capacity',
  title: 'Voice fleet / Capacity and autoscaling',
  description: 'Slots that are offered, taken and wished for, and what autoscalers make of it.',
  pool: true,
  rows: [
    {
      title: 'Slots',
      panels: [
        {
          title: 'Slots offered and taken',
          description: 'Offered shrinks when cards slow down.',
          unit: 'short',
          queries: [
            one('offered {{pool}}', sum(ofPool('voice_worker_slots'), 'pool')),
            one('taken {{pool}}', sum(ofPool('voice_worker_slots_used'), 'pool')),
          ],
        },
        {
          title: 'Slots of each worker',
          description: 'Sessions are packed: the last worker empties first.',
          unit: 'short',
          queries: by('instance', sum(ofPool('voice_worker_slots_used'), 'instance')),
        },
        {
          title: 'Demand for slots',
          description:
            'What pools are scaled by: sessions that run and wait, and those expected while a worker warms up. No line: Redis is away.',
          unit: 'short',
          queries: [
            one('demand {{pool}}', greatest('voice_fleet_demand_slots')),
            one('offered {{pool}}', greatest('voice_fleet_slots')),
            one('taken {{pool}}', greatest('voice_fleet_leased_slots')),
          ],
        },
        {
          title: 'Demand by slots offered',
          description: 'Above 1 a pool is too small, or will be before another worker is ready.',
          unit: 'percentunit',
          queries: by(
            'pool',
            `${greatest('voice_fleet_demand_slots')} / (${greatest('voice_fleet_slots')} > 0)`,
          ),
        },
        {
          title: 'Workers',
          description: 'Ready ones, and those that were told to stop and still hold their card.',
          unit: 'short',
          queries: [
            one('ready {{pool}}', sum(ofPool('voice_worker_ready'), 'pool')),
            one('draining {{pool}}', sum(ofPool('voice_worker_draining'), 'pool')),
          ],
        },
        {
          title: 'Waiting in line',
          description: 'Clients without a slot.',
          unit: 'short',
          queries: [one('waiting', sum(own('voice_gateway_sessions_waiting')))],
        },
        {
          title: 'Refused for want of a slot',
          description: 'Counts against the budget.',
          unit: 'reqps',
          queries: [
            one(
              'refused',
              perSecond(own('voice_gateway_admissions_total', 'outcome="rejected_capacity"')),
            ),
          ],
        },
        {
          title: 'Wait for a slot, p95',
          description: 'Of those who got one, and of those who did not.',
          unit: 's',
          queries: [
            one('p95', quantile(0.95, own('voice_lease_operation_duration_seconds_bucket'))),
          ],
        },
      ],
    },
    {
      title: 'Autoscalers',
      panels: [
        {
          title: 'Pods',
          description: 'That there are, and that there may be.',
          unit: 'short',
          queries: [
            one('{{horizontalpodautoscaler}}', hpa('status_current_replicas')),
            one('wished {{horizontalpodautoscaler}}', hpa('status_desired_replicas')),
            one('at most {{horizontalpodautoscaler}}', hpa('spec_max_replicas')),
          ],
          external: 'kube',
        },
        {
          title: 'What KEDA reads',
          description: 'The value of each trigger.',
          unit: 'short',
          queries: [
            one(
              '{{scaledObject}} {{scaler}}',
              `max by (scaledObject, scaler) (${ofNamespaces(keda('metrics_value'))})`,
            ),
          ],
          external: 'keda',
        },
        {
          title: 'Errors of KEDA',
          description: 'While it cannot read, a pool does not follow its load.',
          unit: 'ops',
          queries: by(
            'scaledObject',
            sum(
              ofNamespaces((matchers) => rate(keda('detail_errors_total')(matchers))),
              'scaledObject',
            ),
          ),
          external: 'keda',
        },
      ],
    },
    {
      title: 'Redis',
      panels: [
        {
          title: 'Memory of Redis',
          description:
            'In use, and the most it may use (0: all there is). Every Redis that Prometheus sees.',
          unit: 'bytes',
          queries: [
            one('in use {{instance}}', 'redis_memory_used_bytes'),
            one('at most {{instance}}', 'redis_memory_max_bytes'),
          ],
          external: 'redis',
        },
        {
          title: 'Policy of Redis',
          description:
            'Must be noeviction: anything else loses leases and keys. Every Redis that Prometheus sees.',
          unit: 'short',
          kind: 'stat',
          queries: [one('{{instance}} {{maxmemory_policy}}', 'redis_instance_info')],
          external: 'redis',
        },
      ],
    },
  ],
};
