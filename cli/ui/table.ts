// Rows in columns, for people.

/** Columns as wide as their widest cell; cells that begin with a digit stand at the right. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const right = widths.map((_, column) => rows.length > 1 && rows.slice(1).every((row) => /^([\d.,-]|$)/.test(row[column] ?? '')))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (right[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}
