// What somebody probably meant who typed a name that is none.

/** The one of `names` that is at most two letters away from `typed`, if any is. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const distances = names.map((name) => ({ name, distance: distance(typed, name) }))
  const best = distances.sort((one, two) => one.distance - two.distance)[0]
  return best !== undefined && best.distance <= 2 ? best.name : undefined
}

/** How many letters have to be changed, added or left out (Levenshtein). */
function distance(one: string, two: string): number {
  let row = Array.from({ length: two.length + 1 }, (_, at) => at)
  for (let left = 1; left <= one.length; left++) {
    const next = [left]
    for (let right = 1; right <= two.length; right++) {
      const same = one[left - 1] === two[right - 1] ? 0 : 1
      next.push(Math.min((row[right] ?? 0) + 1, (next[right - 1] ?? 0) + 1, (row[right - 1] ?? 0) + same))
    }
    row = next
  }
  return row[two.length] ?? 0
}
