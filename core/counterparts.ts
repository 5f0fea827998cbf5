// Which file of an old image a file of the new one was before: the same path, else the path with another kernel version, other numbers, or elsewhere.

const kernelVersion = /\d+\.\d+\.\d+[-.][\w.+~-]*/g
const digits = /\d+/g

/** From the most to the least certain; the next is asked when none before it has an answer. */
const keys: readonly ((path: string) => string)[] = [
  (path) => path,
  (path) => path.replace(kernelVersion, '#'),
  (path) => path.replace(digits, '#'),
  (path) => path.slice(path.lastIndexOf('/') + 1),
]

export class Counterparts {
  readonly #sizes: ReadonlyMap<string, number>
  readonly #known: readonly ReadonlyMap<string, readonly string[]>[]
  readonly #found = new Map<string, string | undefined>()

  /** `sizes` of the old files by their paths, in bytes. */
  constructor(sizes: ReadonlyMap<string, number>) {
    this.#sizes = sizes
    this.#known = keys.map((keyOf) => {
      const paths = new Map<string, string[]>()
      for (const path of sizes.keys()) {
        const key = keyOf(path)
        const list = paths.get(key)
        if (list === undefined) paths.set(key, [path])
        else list.push(path)
      }
      return paths
    })
  }

  /** The old file that is most likely what the file `path` of `size` bytes was; undefined for a new one. */
  of(path: string, size: number): string | undefined {
    if (this.#found.has(path)) return this.#found.get(path)
    const found = this.#nearest(path, size)
    this.#found.set(path, found)
    return found
  }

  #nearest(path: string, size: number): string | undefined {
    for (const [rank, keyOf] of keys.entries()) {
      let nearest: string | undefined
      for (const one of this.#known[rank]?.get(keyOf(path)) ?? [])
        if (nearest === undefined || this.#distance(one, size) < this.#distance(nearest, size)) nearest = one
      if (nearest !== undefined) return nearest
    }
    return undefined
  }

  #distance(path: string, size: number): number {
    return Math.abs((this.#sizes.get(path) ?? 0) - size)
  }
}
