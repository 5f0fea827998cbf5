// Whether a package repository is what it was at the last build: the hash of the file that names all its packages.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { BuildContext } from './builder.ts'

const patience = 30_000

/**
 * For each repository the hash of what lies now at the first of its addresses (http, https, file, or a path) where something does;
 * undefined when one of them cannot be told. That fails no build: whoever installs from there says what is wrong with it, and knows ways
 * of reaching it that we do not.
 */
export async function fingerprints(
  repositories: readonly (readonly string[])[],
  context: BuildContext,
): Promise<readonly string[] | undefined> {
  const hashes = await Promise.all(repositories.map((addresses) => fingerprint(addresses, context)))
  const known = hashes.filter((hash) => hash !== undefined)
  return known.length === hashes.length ? known : undefined
}

async function fingerprint(addresses: readonly string[], context: BuildContext): Promise<string | undefined> {
  for (const address of addresses) {
    try {
      return createHash('sha256')
        .update(await bytesAt(address, context))
        .digest('hex')
    } catch (error) {
      context.signal?.throwIfAborted()
      context.report({ type: 'trace', text: `cannot read ${address}: ${error instanceof Error ? error.message : String(error)}` })
    }
  }
  return undefined
}

async function bytesAt(address: string, { report, signal }: BuildContext): Promise<Uint8Array> {
  if (address.startsWith('/')) return readFile(address)
  if (/^(file|copy):/.test(address)) return readFile(fileURLToPath(address.replace(/^copy:/, 'file:')))
  report({ type: 'trace', text: `GET ${address}` })
  const limit = AbortSignal.timeout(patience)
  const response = await fetch(address, { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}
