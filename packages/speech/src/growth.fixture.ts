const TIMES = 8;
const TRIES = 5;

/**
 * How many times longer `run` takes for eight times the work: about 8 where time grows with the work, 64 where it grows with
 * its square. Machines that run tests are busy: hence time of the processor, and the least of a few tries.
 */
export function growth(run: (amount: number) => void, amount: number): number {
  run(amount);
  return leastMicros(() => run(TIMES * amount)) / leastMicros(() => run(amount));
}

function leastMicros(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const began = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(began);
    least = Math.min(least, user + system);
  }
  return Math.max(least, 1);
}
