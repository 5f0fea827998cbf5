// Values that lead back to themselves: YAML can say them by aliases, and nobody can write them down again.

/** Of lists and maps, as deep as they go. */
export function holdsItself(value: unknown, above: readonly unknown[] = []): boolean {
  if (typeof value !== 'object' || value === null) return false
  return above.includes(value) || Object.values(value).some((inner) => holdsItself(inner, [...above, value]))
}
