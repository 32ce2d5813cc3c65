import type { Dashboard, Panel, Row } from '../dashboard.ts';
import {
  by,
  ofNamespaces,
  ofPool,
  ofVllm,
  one,
  own,
  perSecond,
  quantile,
  quantiles,
  rate,
  recordedOf,
  sum,
} from '../query.ts';
import { processRow } from './process-row.ts';

const VLLM: readonly Panel[] = [
  {
    title: 'Requests in vLLM',
    description: 'waiting above zero: the card is full.',
    unit: 'short',
    queries: [
      one('running', sum(ofVllm('vllm:num_requests_running'))),
      one('waiting', sum(ofVllm('vllm:num_requests_waiting'))),
    ],
    external: 'vllm',
  },
  {
    title: 'Cache in use',
    description: 'Of the KV cache. Near 1 requests are put off.',
    unit: 'percentunit',
    queries: by('instance', `max by (instance) (${ofVllm('vllm:kv_cache_usage_perc')})`),
    external: 'vllm',
  },
  {
    title: 'First token of vLLM, p95',
    description: 'As vLLM itself sees it.',
    unit: 's',
    queries: [one('p95', quantile(0.95, ofVllm('vllm:time_to_first_token_seconds_bucket')))],
    external: 'vllm',
  },
  {
    title: 'Requests and their wait in vLLM, p95',
    description: 'Whole requests, and what of that they waited to begin.',
    unit: 's',
    queries: [
      one('whole', quantile(0.95, ofVllm('vllm:e2e_request_latency_seconds_bucket'))),
      one('waiting', quantile(0.95, ofVllm('vllm:request_queue_time_seconds_bucket'))),
    ],
    external: 'vllm',
  },
  {
    title: 'Tokens of vLLM',
    description: 'Read and made in a second.',
    unit: 'short',
    queries: [
      one('prompt', perSecond(ofVllm('vllm:prompt_tokens_total'))),
      one('generation', perSecond(ofVllm('vllm:generation_tokens_total'))),
    ],
    external: 'vllm',
  },
];

/** Cards of pods in the namespaces that are chosen; all of them, if these are all. */
const card = (metric: string): string =>
  ofNamespaces((matchers) => `DCGM_FI_DEV_${metric}{${matchers}}`);

const GPU: readonly Panel[] = [
  {
    title: 'GPU use',
    description: 'Part of the time in which the card worked.',
    unit: 'percent',
    queries: [one('{{Hostname}} {{gpu}}', card('GPU_UTIL'))],
    external: 'dcgm',
  },
  {
    title: 'GPU memory',
    description: 'In use, in MB.',
    unit: 'decmbytes',
    queries: [one('{{Hostname}} {{gpu}}', card('FB_USED'))],
    external: 'dcgm',
  },
  {
    title: 'GPU faults',
    description: 'Number of the last XID fault: docs/operations/runbooks/gpu-fault.md.',
    unit: 'short',
    queries: [one('{{Hostname}} {{gpu}}', card('XID_ERRORS'))],
    external: 'dcgm',
  },
];

const rated = (bad: string, all: string): string =>
  `${recordedOf(`voice:worker_${bad}:rate30m`)} / (${recordedOf(`voice:worker_${all}:rate30m`)} > 0)`;

/** For a canary, and while a version is rolled out. */
const versionsRow: Row = {
  title: 'Version against version',
  panels: [
    {
      title: 'Failed utterances by version',
      description:
        'Part of them over half an hour, as rules record it. A canary should be no worse.',
      unit: 'percentunit',
      queries: [one('{{pool}} {{version}}', rated('utterances_failed', 'utterances'))],
    },
    {
      title: 'Late finals by version',
      description: 'Part of them over half an hour: later than was promised.',
      unit: 'percentunit',
      queries: [one('{{pool}} {{version}}', rated('finals_late', 'finals'))],
    },
    {
      title: 'Utterances by version',
      description: 'In a second, over half an hour. Few of them prove little.',
      unit: 'ops',
      queries: [one('{{pool}} {{version}}', recordedOf('voice:worker_utterances:rate30m'))],
    },
  ],
};

export const ASR: Dashboard = {
  uid: 'voice-fleet-asr',
  title: 'Voice fleet / ASR pool and GPU',
  description: 'Workers, their engines and their cards.',
  pool: true,
  rows: [
    {
      title: 'Words',
      panels: [
        {
          title: 'First text by model, p95',
          description: 'From the first audio of an utterance. Aimed at: 0.8 s.',
          unit: 's',
          queries: [
            one(
              '{{pool}} {{model}}',
              quantile(
                0.95,
                ofPool('voice_worker_asr_first_partial_seconds_bucket'),
                'pool, model',
              ),
            ),
          ],
          exemplars: true,
        },
        {
          title: 'Final latency by model, p95',
          description: 'From the end of an utterance. Aimed at: 1.5 s.',
          unit: 's',
          queries: [
            one(
              '{{pool}} {{model}}',
              quantile(
                0.95,
                ofPool('voice_worker_asr_final_latency_seconds_bucket'),
                'pool, model',
              ),
            ),
          ],
          exemplars: true,
        },
        {
          title: 'Utterances by outcome',
          description: 'And those that another worker had begun.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_worker_utterances_total'), 'outcome')),
            one(
              'resumed {{outcome}}',
              perSecond(own('voice_worker_resumed_utterances_total'), 'outcome'),
            ),
          ],
        },
        {
          title: 'Real-time factor',
          description:
            'Decoding time by audio time, that of jobs included. At 1 an engine does what it can. Told by engines of processes; of vLLM see *Frame latency*.',
          unit: 'short',
          queries: by(
            'pool',
            `${perSecond(ofPool('voice_worker_decode_seconds_total'), 'pool')} / (${perSecond(ofPool('voice_worker_audio_seconds_total'), 'pool')} + ${perSecond(ofPool('voice_worker_batch_audio_seconds_total'), 'pool')})`,
          ),
        },
        {
          title: 'Frame latency',
          description:
            'From sending 80 ms of audio to the words of vLLM for it. p95 above 0.16 s falls behind.',
          unit: 's',
          queries: quantiles(ofPool('voice_worker_frame_latency_seconds_bucket')),
        },
        {
          title: 'Segments',
          description:
            'Segments of long utterances that were followed by another, and audio dropped in front of engines.',
          unit: 'ops',
          queries: [
            one('rolls', perSecond(own('voice_worker_segment_rolls_total'))),
            one('dropped seconds', perSecond(own('voice_worker_dropped_audio_seconds_total'))),
          ],
        },
      ],
    },
    {
      title: 'Faults and repair',
      panels: [
        {
          title: 'Stream faults',
          description: 'By cause: docs/operations/gpu-worker.md.',
          unit: 'ops',
          queries: by('cause', perSecond(own('voice_worker_stream_faults_total'), 'cause')),
        },
        {
          title: 'Recoveries',
          description: 'gave_up: an utterance was lost.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_worker_recoveries_total'), 'outcome')),
            one('p95 in s', quantile(0.95, own('voice_worker_recovery_seconds_bucket'))),
          ],
        },
        {
          title: 'Catching up',
          description: 'Utterances behind, and those that wait for their turn to catch up.',
          unit: 'short',
          queries: [
            one('catching up', sum(own('voice_worker_catch_up_active'))),
            one('waiting', sum(own('voice_worker_catch_up_waiting'))),
            one('p95 in s', quantile(0.95, own('voice_worker_catch_up_duration_seconds_bucket'))),
          ],
        },
        {
          title: 'Engine',
          description:
            'Level: 0 normal, 2 no new sessions, 3 not ready, 4 engine lost. And starts anew in a second.',
          unit: 'short',
          queries: [
            one('level {{instance}}', own('voice_worker_degrade_level')),
            one('restarts {{instance}}', rate(own('voice_worker_engine_restarts_total'))),
          ],
        },
        {
          title: 'State of health',
          description: 'Workers in each state.',
          unit: 'short',
          queries: by('status', sum(own('voice_worker_engine_status'), 'status')),
        },
        {
          title: 'Refused links',
          description: 'Sessions that a worker did not take, by reason.',
          unit: 'ops',
          queries: by('reason', perSecond(own('voice_worker_links_refused_total'), 'reason')),
        },
      ],
    },
    versionsRow,
    {
      title: 'Connections to vLLM',
      panels: [
        {
          title: 'Spare connections',
          description: 'Validated ones that wait for an utterance.',
          unit: 'short',
          queries: by('instance', sum(own('voice_worker_upstream_spares'), 'instance')),
        },
        {
          title: 'Connections taken',
          description: 'dial: no spare was there, so first words are late.',
          unit: 'ops',
          queries: by('from', perSecond(own('voice_worker_upstream_takes_total'), 'from')),
        },
        {
          title: 'Dials and closes',
          description: 'Connections tried, and those that vLLM or a fault ended, by code.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_worker_upstream_dials_total'), 'outcome')),
            one('closed {{code}}', perSecond(own('voice_worker_upstream_closes_total'), 'code')),
          ],
        },
        {
          title: 'Canaries',
          description: 'Utterances of our own. failed: vLLM hangs.',
          unit: 'ops',
          queries: by('outcome', perSecond(own('voice_worker_canaries_total'), 'outcome')),
        },
      ],
    },
    { title: 'vLLM', panels: VLLM },
    { title: 'Cards', panels: GPU },
    {
      title: 'Voice detection',
      panels: [
        {
          title: 'Frames by what decided',
          description: 'late: Silero was too slow, so loudness decided.',
          unit: 'ops',
          queries: by('decided_by', perSecond(own('voice_worker_vad_frames_total'), 'decided_by')),
        },
        {
          title: 'A step of Silero, p95',
          description: 'With the ways to its thread and back, and streams in a step.',
          unit: 's',
          queries: [
            one('p95', quantile(0.95, own('voice_worker_vad_step_seconds_bucket'))),
            one('streams', quantile(0.95, own('voice_worker_vad_batch_streams_bucket'))),
          ],
        },
        {
          title: 'Detectors',
          description: 'Workers by the detector they use, and starts of its thread anew.',
          unit: 'short',
          queries: [
            ...by('name', sum(own('voice_worker_vad'), 'name')),
            one('restarts', perSecond(own('voice_worker_vad_restarts_total'))),
          ],
        },
      ],
    },
    processRow('asr-worker'),
  ],
};
