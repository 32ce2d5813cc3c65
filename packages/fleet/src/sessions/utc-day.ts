const DAY_MS = 86_400_000;

/** YYYY-MM-DD of a day that is counted in UTC from 1970-01-01, day 0. */
export function dayName(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** The reverse of `dayName`; `undefined` for anything but a day of the calendar. */
export function dayNumber(name: string): number | undefined {
  const day = Date.parse(`${name}T00:00:00Z`) / DAY_MS;
  return Number.isInteger(day) && dayName(day) === name ? day : undefined;
}
