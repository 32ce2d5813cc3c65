import { YAP_PATH } from '@voice-fleet/protocol/yap';
import type { Dialect } from '../dialect.ts';
import { YapCodec, type YapSettings } from './codec.ts';

/** JSON envelopes on `/api/asr-streaming`; see docs/protocols/yap.md. */
export function yapDialect(settings: YapSettings): Dialect {
  return {
    name: 'yap',
    paths: [YAP_PATH],
    handshake: (query, headers) => {
      const header = headers['x-api-key'];
      // A wrong query key is not mended by a right header: the query wins whenever it is there.
      return { apiKey: query.get('api_key') || (typeof header === 'string' ? header : '') };
    },
    codec: () => new YapCodec(settings),
  };
}
