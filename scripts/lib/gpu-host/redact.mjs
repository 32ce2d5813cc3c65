const OURS = ['VOXTRAL_API_KEY', 'VLLM_API_KEY', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'];
const SECRET_NAME = /(_|^)(KEYS?|TOKENS?|SECRET|PASSWORD)$/;
/** A variable of somebody else may be called so and hold a 1. */
const LEAST_LENGTH = 8;
const REDACTED = '[redacted]';

/** The password, and the name before it, that an address such as redis://user:password@host carries. */
const IN_ADDRESS = /([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*@/gi;

const PASSWORD_OF_ADDRESS = /^[a-z][a-z0-9+.-]*:\/\/[^\s/@:]*:([^\s/@]+)@/i;

/**
 * A function that takes every secret of an environment out of a text: the values of variables whose name says so, also
 * one by one when a variable lists several, and the passwords in addresses, each as JSON or an address would spell it too.
 * `longest` is the length of the longest.
 */
export function redactor(environment) {
  const secrets = new Set();
  const add = (secret) => {
    secrets.add(secret).add(JSON.stringify(secret).slice(1, -1)).add(encodeURIComponent(secret));
  };
  for (const [name, value = ''] of Object.entries(environment)) {
    const password = PASSWORD_OF_ADDRESS.exec(value)?.[1];
    if (password) add(password);
    if (!OURS.includes(name) && !SECRET_NAME.test(name)) continue;
    for (const part of [value.trim(), ...value.split(/[\s,]+/)]) {
      if (part.length >= (OURS.includes(name) ? 1 : LEAST_LENGTH)) add(part);
    }
  }
  // The longest first, so that no rest of it stays when a shorter one is its beginning.
  const all = [...secrets].sort((one, other) => other.length - one.length);
  const redact = (text) => {
    let clean = text;
    for (const secret of all) {
      if (clean.includes(secret)) clean = clean.replaceAll(secret, REDACTED);
    }
    return clean.includes('://') ? clean.replace(IN_ADDRESS, `$1${REDACTED}@`) : clean;
  };
  return { redact, longest: all[0]?.length ?? 0 };
}
