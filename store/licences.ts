// Under which licence each file of a tree is, and where its source is: a licence map, and Debian's own data where the tree has it.
import type { Entry } from '../core/mod.ts'
import { debianData } from './debian-data.ts'
import { readLicenceMap } from './licence-map.ts'
import { SourcePackages } from './source-packages.ts'
import type { Uploads } from './uploads.ts'

export type Licensed = Pick<Entry, 'licence' | 'ccs'>

export type LicenceOptions = {
  /** The root of the tree. */
  readonly dir: string
  readonly licenceMap: string | undefined
  /** Folder of source packages. */
  readonly sources: string | undefined
  readonly uploads: Uploads
}

const nothing: Licensed = { licence: null, ccs: null }

export class Licences {
  readonly #found: ReadonlyMap<string, Licensed>
  readonly #packages: SourcePackages | undefined

  private constructor(found: ReadonlyMap<string, Licensed>, packages: SourcePackages | undefined) {
    this.#found = found
    this.#packages = packages
  }

  /** Of the files at `paths`. Errors: `not-found`, `malformed`. */
  static async open(paths: readonly string[], { dir, licenceMap, sources, uploads }: LicenceOptions): Promise<Licences> {
    const packages = sources === undefined ? undefined : new SourcePackages(sources, uploads)
    try {
      const map = licenceMap === undefined ? undefined : await readLicenceMap(licenceMap)
      const debian = debianData(dir)
      const found = new Map<string, Licensed>()
      for (const path of paths) {
        const owned = debian?.get(path)
        const said = map?.(path)
        const licence = said?.licence ?? owned?.copyright ?? null
        const named = said?.source
        const source =
          packages === undefined
            ? undefined
            : named !== undefined
              ? packages.named(named)
              : owned === undefined
                ? undefined
                : packages.debian(owned.source)
        const ccs = (await source) ?? null
        if (licence !== null || ccs !== null) found.set(path, { licence, ccs })
      }
      return new Licences(found, packages)
    } catch (error) {
      packages?.close()
      throw error
    }
  }

  of(path: string): Licensed {
    return this.#found.get(path) ?? nothing
  }

  /** To be called when everything is uploaded. */
  close(): void {
    this.#packages?.close()
  }
}
