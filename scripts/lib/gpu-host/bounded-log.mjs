import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';

const COPY_BYTES = 1 << 20;
/** What a trim leaves of the limit: less would forget more than need be, more would copy more often. */
const KEPT_SHARE = 0.75;
const NEWLINE = 10;

/**
 * A log file that never exceeds its limit. When the next lines do not fit, the oldest go and the newest whole lines move
 * to the front, in the same file: whoever follows it, follows on. It has one writer, this object, at a position of its own.
 */
export class BoundedLog {
  #path;
  #maxBytes;
  #file;
  #bytes;

  constructor(path, maxBytes) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#open();
    if (this.#bytes > maxBytes) this.#trim(Math.floor(maxBytes * KEPT_SHARE));
  }

  /** Appends one line. A full disk loses lines, not the servers: false when it was not written. */
  append(line) {
    let data = Buffer.from(`${line}\n`);
    if (data.length > this.#maxBytes) {
      data = Buffer.concat([data.subarray(0, this.#maxBytes - 1), Buffer.of(NEWLINE)]);
    }
    try {
      // Asked each time: somebody may have emptied it, and a write that failed may have left a part.
      this.#bytes = fstatSync(this.#file).size;
      if (this.#bytes + data.length > this.#maxBytes) {
        this.#trim(Math.min(Math.floor(this.#maxBytes * KEPT_SHARE), this.#maxBytes - data.length));
      }
      writeAll(this.#file, data, this.#bytes);
      return true;
    } catch {
      return false;
    }
  }

  /** Goes on in a new file when somebody has removed or replaced this one. */
  reopenIfReplaced() {
    try {
      if (statSync(this.#path).ino === fstatSync(this.#file).ino) return;
    } catch {
      // It is gone: made anew below.
    }
    try {
      const old = this.#file;
      this.#open();
      closeSync(old);
    } catch {
      // Its folder is gone or may not be written: stay with the old file.
    }
  }

  close() {
    closeSync(this.#file);
  }

  #open() {
    // 'a' makes the file if need be; but positions mean nothing in a file that is open for appending.
    closeSync(openSync(this.#path, 'a', 0o600));
    this.#file = openSync(this.#path, 'r+');
    this.#bytes = fstatSync(this.#file).size;
  }

  /** Keeps the newest whole lines, `keepBytes` of them at the most. */
  #trim(keepBytes) {
    let from = this.#bytes - keepBytes;
    if (from <= 0) return;
    const chunk = Buffer.allocUnsafe(Math.min(COPY_BYTES, keepBytes + 1));
    from = this.#lineStart(from, chunk);
    let to = 0;
    while (from < this.#bytes) {
      const length = readSync(this.#file, chunk, 0, chunk.length, from);
      if (length === 0) break;
      writeAll(this.#file, chunk.subarray(0, length), to);
      from += length;
      to += length;
    }
    ftruncateSync(this.#file, to);
    this.#bytes = to;
  }

  /** Where the first line begins that begins at `position` or later. */
  #lineStart(position, chunk) {
    for (let at = position - 1; at < this.#bytes; ) {
      const length = readSync(this.#file, chunk, 0, chunk.length, at);
      if (length === 0) break;
      const newline = chunk.subarray(0, length).indexOf(NEWLINE);
      if (newline >= 0) return at + newline + 1;
      at += length;
    }
    return this.#bytes;
  }
}

function writeAll(file, data, position) {
  for (let done = 0; done < data.length; ) {
    done += writeSync(file, data, done, data.length - done, position + done);
  }
}
