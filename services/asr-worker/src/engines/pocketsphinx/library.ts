import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import type { SphinxFiles } from './locate.ts';

/** An address inside the C library. */
export type Pointer = bigint;

/** feat.params names options that decoders do not have (`-model`). */
const LENIENT = 0;

type Call<Result> = ((...args: unknown[]) => Result) & {
  async(...args: unknown[]): void;
};

/** The C calls the engine makes, by their own names. Slow ones are made through `offThread`. */
export interface SphinxLibrary {
  readonly ps_init: Call<Pointer | null>;
  readonly ps_start_stream: Call<number>;
  readonly ps_start_utt: Call<number>;
  readonly ps_process_raw: Call<number>;
  readonly ps_end_utt: Call<number>;
  readonly ps_get_prob: Call<number>;
  readonly ps_get_feat: Call<Pointer>;
  readonly ps_get_logmath: Call<Pointer>;
  readonly ps_seg_iter: Call<Pointer | null>;
  readonly ps_seg_next: Call<Pointer | null>;
  readonly ps_seg_word: Call<string>;
  readonly ps_seg_frames: Call<void>;
  readonly ps_seg_prob: Call<number>;
  readonly logmath_exp: Call<number>;
  readonly cmn_live_set: Call<void>;
  readonly fe_init_auto_r: Call<Pointer | null>;
  readonly fe_start_utt: Call<number>;
  readonly fe_process_utt: Call<number>;
  readonly fe_free_2d: Call<void>;
  /** Reads C memory. */
  decode(from: Pointer, offsetBytes: number, type: string): unknown;
  decodeFloats(from: Pointer, count: number): Float32Array;
  /** What decoders and front ends are made with. */
  readonly config: Pointer;
}

/** Loads both libraries into this process and reads the engine's options. */
export function loadSphinx(files: SphinxFiles): SphinxLibrary {
  const base = loadWithLinked(files);
  const sphinx = koffi.load(files.pocketsphinx);
  const args = optionsOf(files);
  const config = base.func(
    'void *cmd_ln_parse_r(void *inout, void *defs, int argc, const char **argv, int strict)',
  )(null, sphinx.func('void *ps_args()')(), args.length, args, LENIENT) as Pointer | null;
  if (!config) throw new Error(`pocketsphinx refused its options for ${files.acousticModel}`);
  return {
    config,
    decode: (from, offsetBytes, type) => koffi.decode(from, offsetBytes, type) as unknown,
    decodeFloats: (from, count) =>
      koffi.decode(from, koffi.array('float', count, 'Typed')) as Float32Array,
    ps_init: sphinx.func('void *ps_init(void *config)'),
    ps_start_stream: sphinx.func('int ps_start_stream(void *ps)'),
    ps_start_utt: sphinx.func('int ps_start_utt(void *ps)'),
    ps_process_raw: sphinx.func(
      'int ps_process_raw(void *ps, const int16_t *data, size_t samples, int no_search, int full_utt)',
    ),
    ps_end_utt: sphinx.func('int ps_end_utt(void *ps)'),
    ps_get_prob: sphinx.func('int32_t ps_get_prob(void *ps)'),
    ps_get_feat: sphinx.func('void *ps_get_feat(void *ps)'),
    ps_get_logmath: sphinx.func('void *ps_get_logmath(void *ps)'),
    ps_seg_iter: sphinx.func('void *ps_seg_iter(void *ps)'),
    ps_seg_next: sphinx.func('void *ps_seg_next(void *seg)'),
    ps_seg_word: sphinx.func('const char *ps_seg_word(void *seg)'),
    ps_seg_frames: sphinx.func('void ps_seg_frames(void *seg, _Out_ int *first, _Out_ int *last)'),
    ps_seg_prob: sphinx.func('int32_t ps_seg_prob(void *seg, void *ac, void *lm, void *back)'),
    logmath_exp: base.func('double logmath_exp(void *logmath, int p)'),
    cmn_live_set: base.func('void cmn_live_set(void *cmn, const float *mean)'),
    fe_init_auto_r: base.func('void *fe_init_auto_r(void *config)'),
    fe_start_utt: base.func('int fe_start_utt(void *fe)'),
    fe_process_utt: base.func(
      'int fe_process_utt(void *fe, const int16_t *data, size_t samples, _Out_ void **cepstra, _Out_ int *frames)',
    ),
    fe_free_2d: base.func('void fe_free_2d(void *array)'),
  } as SphinxLibrary;
}

/** Runs one slow call on libuv's thread pool. A decoder bears one call at a time: its owner awaits each. */
export function offThread<Result>(call: Call<Result>, ...args: unknown[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: Result) =>
      error ? reject(error) : resolve(result),
    );
  });
}

function loadWithLinked(files: SphinxFiles): ReturnType<typeof koffi.load> {
  try {
    return koffi.load(files.sphinxbase);
  } catch {
    // Unpacked without root: BLAS and its kin are not where the linker looks, but are found once loaded.
    for (const path of files.preload) koffi.load(path);
    return koffi.load(files.sphinxbase);
  }
}

/** Reasons and figures: docs/adr/0006-embedded-engine.md. */
function optionsOf(files: SphinxFiles): string[] {
  // The acoustic model's own front-end parameters, so that a bare front end computes the same cepstra.
  const frontEnd = readFileSync(join(files.acousticModel, 'feat.params'), 'utf8').trim();
  const options = {
    '-hmm': files.acousticModel,
    '-lm': files.languageModel,
    '-dict': files.dictionary,
    '-remove_silence': 'no',
    '-remove_noise': 'no',
    '-fwdflat': 'no',
    '-bestpath': 'yes',
    '-maxhmmpf': '5000',
    // With 10, the default, a front end returns nothing for its first ten frames of a call.
    '-vad_startspeech': '1',
    // It would write hundreds of lines to stderr.
    '-logfn': '/dev/null',
  };
  return [...frontEnd.split(/\s+/), ...Object.entries(options).flat()];
}
