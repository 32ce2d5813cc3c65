import { timingSafeEqual } from 'node:crypto';
import { secretDigest } from '@voice-fleet/fleet/tenants/credential';

/** Whether a text is the one secret that the operator has set. An empty setting is nobody's. Compares digests, so that time tells nothing. */
export class SecretCheck {
  readonly isSet: boolean;
  readonly #digest: Buffer;

  constructor(secret: string) {
    this.isSet = secret !== '';
    this.#digest = secretDigest(secret);
  }

  accepts(text: string): boolean {
    return timingSafeEqual(secretDigest(text), this.#digest) && this.isSet;
  }
}
