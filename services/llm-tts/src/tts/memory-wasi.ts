import { type WasmMemory, type WasmModule, wasm } from './wasm.ts';

const OK = 0;
const EBADF = 8;
const EFBIG = 22;
const ENOSYS = 52;

const STDERR = 2;
const DIRECTORY = 3;
const FILE = 4;
const FILE_TYPE_DIRECTORY = 3;
const FILE_TYPE_REGULAR = 4;
const FILE_TYPE_CHARACTERS = 2;

/** Where programs find the only directory there is. */
export const MEMORY_DIRECTORY = '/m';

/** Thrown by `proc_exit`, as a program that exits must not be returned to. */
class Exit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit code ${code}`);
    this.code = code;
  }
}

/** As much of WASI preview 1 as a program needs that has arguments and writes one file: which stays in memory, like its errors. */
export class MemoryWasi {
  readonly #args: readonly Buffer[];
  readonly #maxBytes: number;
  #memory: WasmMemory = { buffer: new ArrayBuffer(0) };
  #file: Buffer;
  #size = 0;
  #at = 0;
  #errors = '';

  constructor(args: readonly string[], options: { readonly maxBytes: number }) {
    this.#args = args.map((arg) => Buffer.from(`${arg}\0`));
    this.#maxBytes = options.maxBytes;
    this.#file = Buffer.alloc(Math.min(64 * 1024, options.maxBytes));
  }

  /** Runs the program to its end. Throws what the program dies of, with its last words. */
  run(module: WasmModule): Buffer {
    const instance = new wasm.Instance(module, { wasi_snapshot_preview1: this.#imports() });
    this.#memory = instance.exports['memory'] as WasmMemory;
    try {
      (instance.exports['_start'] as () => void)();
    } catch (error) {
      if (!(error instanceof Exit)) throw error;
      if (error.code !== 0) throw new Error(`${error.message}: ${this.#errors.slice(-200)}`);
    }
    return this.#file.subarray(0, this.#size);
  }

  #imports(): Record<string, (...args: never[]) => number> {
    return {
      args_sizes_get: (count: number, bytes: number) => {
        this.#view().setUint32(count, this.#args.length, true);
        this.#view().setUint32(bytes, Buffer.concat(this.#args).length, true);
        return OK;
      },
      args_get: (pointers: number, start: number) => {
        let to = start;
        for (const [index, arg] of this.#args.entries()) {
          this.#view().setUint32(pointers + index * 4, to, true);
          this.#bytes(to, arg.length).set(arg);
          to += arg.length;
        }
        return OK;
      },
      clock_time_get: (_clock: number, _precision: bigint, to: number) => {
        this.#view().setBigUint64(to, BigInt(Date.now()) * 1_000_000n, true);
        return OK;
      },
      fd_close: () => OK,
      fd_fdstat_set_flags: () => OK,
      fd_fdstat_get: (fd: number, to: number) => this.#stat(fd, to),
      fd_prestat_get: (fd: number, to: number) => {
        if (fd !== DIRECTORY) return EBADF;
        this.#view().setUint32(to, 0, true);
        this.#view().setUint32(to + 4, MEMORY_DIRECTORY.length, true);
        return OK;
      },
      fd_prestat_dir_name: (_fd: number, to: number, length: number) => {
        this.#bytes(to, length).set(Buffer.from(MEMORY_DIRECTORY).subarray(0, length));
        return OK;
      },
      fd_read: (_fd: number, _vectors: number, _count: number, to: number) => {
        this.#view().setUint32(to, 0, true);
        return OK;
      },
      fd_seek: (fd: number, offset: bigint, whence: number, to: number) => {
        if (fd !== FILE) return ENOSYS;
        const base = [0, this.#at, this.#size][whence] ?? 0;
        this.#at = Math.min(Math.max(0, base + Number(offset)), this.#maxBytes);
        this.#view().setBigUint64(to, BigInt(this.#at), true);
        return OK;
      },
      fd_write: (fd: number, vectors: number, count: number, to: number) =>
        this.#write(fd, vectors, count, to),
      path_open: (...args: number[]) => {
        this.#view().setUint32(args[8] ?? 0, FILE, true);
        return OK;
      },
      proc_exit: (code: number) => {
        throw new Exit(code);
      },
    };
  }

  #stat(fd: number, to: number): number {
    if (fd > FILE) return EBADF;
    const type =
      fd === DIRECTORY
        ? FILE_TYPE_DIRECTORY
        : fd === FILE
          ? FILE_TYPE_REGULAR
          : FILE_TYPE_CHARACTERS;
    this.#bytes(to, 24).fill(0);
    this.#view().setUint8(to, type);
    // All rights, also to what is opened below.
    this.#view().setBigUint64(to + 8, 0xffff_ffffn, true);
    this.#view().setBigUint64(to + 16, 0xffff_ffffn, true);
    return OK;
  }

  #write(fd: number, vectors: number, count: number, to: number): number {
    let written = 0;
    for (let index = 0; index < count; index += 1) {
      const from = this.#view().getUint32(vectors + index * 8, true);
      const bytes = this.#bytes(from, this.#view().getUint32(vectors + index * 8 + 4, true));
      if (fd === FILE && !this.#append(bytes)) return EFBIG;
      if (fd === STDERR) this.#errors = (this.#errors + Buffer.from(bytes).toString()).slice(-1000);
      written += bytes.length;
    }
    this.#view().setUint32(to, written, true);
    return OK;
  }

  #append(bytes: Uint8Array): boolean {
    const end = this.#at + bytes.length;
    if (end > this.#maxBytes) return false;
    if (end > this.#file.length) {
      const larger = Buffer.alloc(Math.min(this.#maxBytes, Math.max(end, this.#file.length * 2)));
      this.#file.copy(larger, 0, 0, this.#size);
      this.#file = larger;
    }
    this.#file.set(bytes, this.#at);
    this.#at = end;
    this.#size = Math.max(this.#size, end);
    return true;
  }

  /** Anew each time: memory that grows leaves its old buffer behind. */
  #view(): DataView {
    return new DataView(this.#memory.buffer);
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, length);
  }
}
