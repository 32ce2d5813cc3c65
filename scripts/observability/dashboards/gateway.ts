import type { Dashboard } from '../dashboard.ts';
import { by, one, own, perSecond, quantile, quantiles, sum } from '../query.ts';
import { processRow } from './process-row.ts';

export const GATEWAY: Dashboard = {
  uid: 'voice-fleet-gateway',
  title: 'Voice fleet / Gateway',
  description: 'Connections from their upgrade to their end.',
  pool: false,
  rows: [
    {
      title: 'Coming in',
      panels: [
        {
          title: 'Connections',
          description: 'Sockets by what they wait for. held: not upgraded yet.',
          unit: 'short',
          queries: by('state', sum(own('voice_gateway_connections'), 'state')),
        },
        {
          title: 'Refused upgrades',
          description: 'Answered with an HTTP error, by reason.',
          unit: 'reqps',
          queries: by('reason', perSecond(own('voice_gateway_upgrades_refused_total'), 'reason')),
        },
        {
          title: 'Admissions by outcome',
          description: 'How starts of sessions end.',
          unit: 'reqps',
          queries: by('outcome', perSecond(own('voice_gateway_admissions_total'), 'outcome')),
        },
        {
          title: 'Admission',
          description: 'From accepted socket to slot taken and worker ready.',
          unit: 's',
          queries: quantiles(own('voice_gateway_admission_duration_seconds_bucket')),
          exemplars: true,
        },
        {
          title: 'Audio',
          description: 'Seconds of audio that come in a second: talkers at once.',
          unit: 'short',
          queries: by('protocol', perSecond(own('voice_gateway_audio_seconds_total'), 'protocol')),
        },
        {
          title: 'Relayed requests',
          description:
            'Speech and chat completions, by how they ended. refused: a mistake of the client.',
          unit: 'reqps',
          queries: [
            one(
              '{{route}} {{outcome}}',
              perSecond(own('voice_gateway_relayed_total'), 'route, outcome'),
            ),
          ],
        },
      ],
    },
    {
      title: 'Going on',
      panels: [
        {
          title: 'Errors by code',
          description: 'The ten most frequent ones told to clients: docs/errors.md.',
          unit: 'ops',
          queries: [
            one(
              '{{tier}} {{code}}',
              `topk(10, ${perSecond(own('voice_gateway_errors_total'), 'tier, code')})`,
            ),
          ],
        },
        {
          title: 'Waiting to be read',
          description:
            'Events that wait, and bytes the system has not taken, as clients read slowly.',
          unit: 'short',
          queries: [
            one('events', sum(own('voice_gateway_outbox_waiting_events'))),
            one('bytes', sum(own('voice_gateway_ws_buffered_bytes'))),
          ],
        },
        {
          title: 'Back-pressure',
          description:
            'Times a client was not read, as its worker was behind or it sent too fast, and times partials became rare.',
          unit: 'ops',
          queries: [
            one('worker behind', perSecond(own('voice_gateway_input_holds_total'))),
            one('sends too fast', perSecond(own('voice_gateway_send_rate_holds_total'))),
            one('reads too slowly', perSecond(own('voice_gateway_backpressure_total'))),
          ],
        },
        {
          title: 'Dropped audio',
          description: 'Seconds of audio that no engine took. Should be zero.',
          unit: 'short',
          queries: [one('dropped', perSecond(own('voice_gateway_dropped_audio_seconds_total')))],
        },
        {
          title: 'Utterances by what ended them',
          description: 'Of the voice pipeline.',
          unit: 'ops',
          queries: by('reason', perSecond(own('voice_gateway_utterances_total'), 'reason')),
        },
        {
          title: 'Time for audio, p95',
          description: 'Decoding time by the time of the audio. At 1 it falls behind.',
          unit: 'short',
          queries: [one('p95', quantile(0.95, own('voice_gateway_decode_rtf_bucket')))],
        },
      ],
    },
    {
      title: 'Workers and leases',
      panels: [
        {
          title: 'Session moves',
          description: 'Sessions that went on with another worker, and links that were lost.',
          unit: 'ops',
          queries: [
            ...by('cause', perSecond(own('voice_gateway_session_moves_total'), 'cause')),
            one('links lost', perSecond(own('voice_gateway_workers_lost_total'))),
          ],
        },
        {
          title: 'Length of moves',
          description: 'Until the next worker has all that it must hear again.',
          unit: 's',
          queries: quantiles(own('voice_gateway_session_move_duration_seconds_bucket')),
        },
        {
          title: 'Link refusals',
          description: 'Workers passed over, by reason.',
          unit: 'ops',
          queries: by('reason', perSecond(own('voice_gateway_link_refusals_total'), 'reason')),
        },
        {
          title: 'Lease operations',
          description: 'renew lost: a session whose slot went to another.',
          unit: 'ops',
          queries: [
            one(
              '{{op}} {{outcome}}',
              perSecond(own('voice_lease_operations_total'), 'op, outcome'),
            ),
          ],
        },
        {
          title: 'Leases, p95',
          description: 'From asking for a slot to the answer, the wait in line included.',
          unit: 's',
          queries: [
            one('p95', quantile(0.95, own('voice_lease_operation_duration_seconds_bucket'))),
          ],
        },
        {
          title: 'Journal, p95',
          description: 'Until a frame for a client that may resume is written down.',
          unit: 's',
          queries: [
            one('p95', quantile(0.95, own('voice_gateway_journal_save_duration_seconds_bucket'))),
          ],
        },
      ],
    },
    {
      title: 'Going out',
      panels: [
        {
          title: 'Sessions by end',
          description: 'error is a fault of the fleet.',
          unit: 'ops',
          queries: by(
            'end_reason',
            perSecond(own('voice_gateway_session_duration_seconds_count'), 'end_reason'),
          ),
        },
        {
          title: 'Length of sessions',
          description: 'Of those that ended.',
          unit: 's',
          queries: quantiles(own('voice_gateway_session_duration_seconds_bucket')),
        },
        {
          title: 'Closed sockets',
          description: 'By code and by who began it.',
          unit: 'ops',
          queries: [
            one(
              '{{code}} {{initiator}}',
              perSecond(own('voice_gateway_ws_closes_total'), 'code, initiator'),
            ),
          ],
        },
        {
          title: 'Certificate',
          description: 'When the certificate ends that is served; 1970 without TLS.',
          unit: 'dateTimeAsIso',
          kind: 'stat',
          queries: by(
            'instance',
            `${own('voice_gateway_tls_certificate_expiry_timestamp_seconds')} * 1000`,
          ),
        },
      ],
    },
    processRow('gateway'),
  ],
};
