const BAR_PX = 3;
const GAP_PX = 3;
/** How often a bar is added. */
const STEP_MS = 60;

/** The last seconds of loudness as bars, the newest at the right. Draws only while there is something to see. */
export class Meter {
  #canvas;
  #level;
  #levels = [];
  #running = false;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /** `level()` gives the loudness just now, 0 to 1; undefined where nothing is recorded or played. */
  constructor(canvas, level) {
    this.#canvas = canvas;
    this.#level = level;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** To be called when that may have changed. */
  wake() {
    if (this.#running) return;
    this.#running = true;
    let last = performance.now();
    const step = (now) => {
      if (now - last >= STEP_MS) {
        last = now;
        if (!this.#advance()) {
          this.#running = false;
          return;
        }
      }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  redraw() {
    this.#draw();
  }

  /** False when all is still. */
  #advance() {
    const level = this.#level();
    const count = this.#count();
    // One bar that grows and shrinks instead of a moving picture.
    if (this.#still.matches) this.#levels = level === undefined ? [] : Array(count).fill(level);
    else this.#levels.push(level ?? 0);
    this.#levels.splice(0, Math.max(0, this.#levels.length - count));
    this.#draw();
    return level !== undefined || this.#levels.some((value) => value > 0);
  }

  #count() {
    return Math.max(1, Math.floor(this.#canvas.clientWidth / (BAR_PX + GAP_PX)));
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = width * ratio;
    this.#canvas.height = height * ratio;
    const context = this.#canvas.getContext('2d');
    context.scale(ratio, ratio);
    context.fillStyle = getComputedStyle(this.#canvas).color;
    const count = this.#count();
    for (let index = 0; index < count; index += 1) {
      const level = this.#levels[this.#levels.length - count + index] ?? 0;
      const tall = Math.max(BAR_PX, Math.min(1, shape(level)) * height);
      context.globalAlpha = level > 0 ? 1 : 0.35;
      context.beginPath();
      context.roundRect(index * (BAR_PX + GAP_PX), (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      context.fill();
    }
  }
}

/** From -54 dB up: loudness as it is heard. */
function shape(level) {
  return level <= 0 ? 0 : Math.max(0, 1 + (20 * Math.log10(level)) / 54);
}
