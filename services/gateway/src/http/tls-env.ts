import { integerVar, textVar } from '@voice-fleet/runtime/env';
import type { z } from 'zod';

/** Variables of the public port with TLS. */
export const tlsEnv = {
  TLS_CERT_FILE: textVar({
    default: '',
    doc: 'Certificate chain as PEM. With TLS_KEY_FILE it opens TLS_PORT; empty: no TLS here.',
  }),
  TLS_KEY_FILE: textVar({ default: '', doc: 'Key of that certificate as PEM.' }),
  TLS_PORT: integerVar({
    default: 8443,
    min: 0,
    max: 65_535,
    doc: 'Public port with TLS, beside SERVER_PORT; 0 takes a free one.',
  }),
};

type TlsEnv = { readonly [Name in keyof typeof tlsEnv]: z.infer<(typeof tlsEnv)[Name]> };

export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  readonly port: number;
}

/** Undefined when neither file is named. */
export function tlsSettings(env: TlsEnv): TlsSettings | undefined {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, TLS_PORT: port } = env;
  return certFile === '' && keyFile === '' ? undefined : { certFile, keyFile, port };
}
