const TIMES = 8;
const TRIES = 5;

/**
 * How many times longer `run` takes for eight times the work: about 8 where time grows with the work, 64 where it grows with
 * its square. The quickest of a few tries counts, as machines that run tests are busy.
 */
export function growth(run: (amount: number) => void, amount: number): number {
  run(amount);
  return quickestMs(() => run(TIMES * amount)) / quickestMs(() => run(amount));
}

function quickestMs(run: () => void): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const began = performance.now();
    run();
    bestMs = Math.min(bestMs, performance.now() - began);
  }
  return bestMs;
}
