import { YAP_PATH, YAP_QUERY } from '@voice-fleet/protocol/yap';
import type { Dialect } from '../dialect.ts';
import { YapCodec, type YapSettings } from './codec.ts';

/** JSON envelopes on `/api/asr-streaming`; see docs/protocols/yap.md. */
export function yapDialect(settings: YapSettings): Dialect {
  return {
    name: 'yap',
    paths: [YAP_PATH],
    admission: 'socket',
    handshake: (query, headers) => {
      const header = (name: string): string | undefined => {
        const value = headers[name];
        return typeof value === 'string' ? value : undefined;
      };
      const token = query.get(YAP_QUERY.resumeToken) || header('x-resume-token');
      const lastSeq = Number(query.get(YAP_QUERY.lastSeq) ?? header('x-last-seq') ?? 0);
      const waitS = Number(query.get(YAP_QUERY.wait) ?? 0);
      const resumable = token !== undefined || query.get(YAP_QUERY.resumable) === '1';
      return {
        // A wrong query key is not mended by a right header: the query wins whenever it is there.
        apiKey: query.get(YAP_QUERY.apiKey) || (header('x-api-key') ?? ''),
        resumable,
        acks: resumable || query.get(YAP_QUERY.acks) === '1',
        waitMs: waitS > 0 ? waitS * 1000 : 0,
        ...(token ? { resume: { token, lastSeq: lastSeq >= 0 ? Math.floor(lastSeq) : 0 } } : {}),
      };
    },
    codec: () => new YapCodec(settings),
  };
}
