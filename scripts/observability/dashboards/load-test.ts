import type { Dashboard } from '../dashboard.ts';
import { by, ofPool, one, own, perSecond, quantile, quantiles, sum } from '../query.ts';

export const LOAD_TEST: Dashboard = {
  uid: 'voice-fleet-load-test',
  title: 'Voice fleet / Load test',
  description:
    'One screen to watch while load is put on: what comes in, what it costs, what breaks first.',
  pool: true,
  rows: [
    {
      title: 'Load',
      panels: [
        {
          title: 'Starts of sessions',
          description: 'By how they end.',
          unit: 'reqps',
          queries: by('outcome', perSecond(own('voice_gateway_admissions_total'), 'outcome')),
        },
        {
          title: 'Sessions and slots',
          description: 'Where the lines meet, refusals begin.',
          unit: 'short',
          queries: [
            one('sessions', sum(own('voice_gateway_sessions_active'))),
            one('slots', sum(ofPool('voice_worker_slots'))),
            one('waiting', sum(own('voice_gateway_sessions_waiting'))),
          ],
        },
        {
          title: 'Talkers',
          description:
            'Seconds of audio in a second, as gateways and as workers count them. They differ by what is under way.',
          unit: 'short',
          queries: [
            one('gateways', perSecond(own('voice_gateway_audio_seconds_total'))),
            one('workers', perSecond(ofPool('voice_worker_audio_seconds_total'))),
          ],
        },
      ],
    },
    {
      title: 'Latency',
      panels: [
        {
          title: 'Admission under load',
          description: 'From accepted socket to a ready worker.',
          unit: 's',
          queries: quantiles(own('voice_gateway_admission_duration_seconds_bucket')),
          exemplars: true,
        },
        {
          title: 'First text under load',
          description: 'The first to grow on a full card.',
          unit: 's',
          queries: quantiles(ofPool('voice_worker_asr_first_partial_seconds_bucket')),
          exemplars: true,
        },
        {
          title: 'Final under load',
          description: 'From the end of an utterance.',
          unit: 's',
          queries: quantiles(ofPool('voice_worker_asr_final_latency_seconds_bucket')),
          exemplars: true,
        },
      ],
    },
    {
      title: 'As the load test sees it',
      panels: [
        {
          title: 'Sessions of the load test',
          description: 'Begun and not yet over, by scenario.',
          unit: 'short',
          queries: by('scenario', sum(own('voice_loadtest_sessions_active'), 'scenario')),
        },
        {
          title: 'Ends of its sessions',
          description: 'By how they ended. What is skipped was never put on the fleet.',
          unit: 'reqps',
          queries: by('outcome', perSecond(own('voice_loadtest_sessions_total'), 'outcome')),
        },
        {
          title: 'Its talkers',
          description: 'Seconds of audio transcribed to their end in a second.',
          unit: 'short',
          queries: by('scenario', perSecond(own('voice_loadtest_audio_seconds_total'), 'scenario')),
        },
        {
          title: 'Admission to a client',
          description: 'From dialling to an admitted session: the network and the line are in it.',
          unit: 's',
          queries: quantiles(own('voice_loadtest_admission_seconds_bucket')),
        },
        {
          title: 'First word to a client',
          description: 'From the first audio. What it is longer than the first text is on the way.',
          unit: 's',
          queries: quantiles(own('voice_loadtest_first_partial_seconds_bucket')),
        },
        {
          title: 'Final to a client',
          description: 'From the end of an utterance.',
          unit: 's',
          queries: quantiles(own('voice_loadtest_final_latency_seconds_bucket')),
        },
      ],
    },
    {
      title: 'Cost',
      panels: [
        {
          title: 'Processor of each instance',
          description: 'Cores.',
          unit: 'short',
          queries: by('instance', perSecond(own('process_cpu_seconds_total'), 'instance')),
        },
        {
          title: 'Event loop lag of each instance, p99',
          description: 'Above 0.1 s the test measures this process and not the fleet.',
          unit: 's',
          queries: by('instance', own('nodejs_eventloop_lag_p99_seconds')),
        },
        {
          title: 'What breaks first',
          description: 'Dropped audio, back-pressure, lost links and faults, in a second.',
          unit: 'ops',
          queries: [
            one('dropped seconds', perSecond(own('voice_gateway_dropped_audio_seconds_total'))),
            one('held', perSecond(own('voice_gateway_input_holds_total'))),
            one('links lost', perSecond(own('voice_gateway_workers_lost_total'))),
            one('stream faults', perSecond(own('voice_worker_stream_faults_total'))),
            one(
              'first token p95 in s',
              quantile(0.95, own('voice_llm_tts_first_token_seconds_bucket')),
            ),
          ],
        },
      ],
    },
  ],
};
