import { stripVTControlCharacters } from 'node:util';

/** Rows under a header, columns as wide as their widest cell; the last column is not filled up. */
export function table(header, rows) {
  const all = [header, ...rows].map((row) => row.map(String));
  const width = (text) => stripVTControlCharacters(text).length;
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column]))));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat(widths[column] - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
