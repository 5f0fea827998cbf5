// Whom a node believes about a product now: the key of its composition until it has seen a root, after that what the root says (spec/root.md 4).
import {
  anySigner,
  type PublicKey,
  parsePublicKey,
  parseRoot,
  pointerSigners,
  type Root,
  releaseSigners,
  type Signers,
  soleSigner,
  utf8Encode,
} from '../core/mod.ts'
import type { KnownRoot, State } from './state.ts'

export type Authority = {
  /** The key of the composition. */
  readonly anchor: PublicKey
  /** Undefined until the repository has one. */
  readonly root: Root | undefined
  /** Keys that signed releases before: what lies here already is still known by them. */
  readonly former: KnownRoot['former']
}

type Anchored = {
  readonly key: PublicKey
  /** Undefined when nothing says which repository it is. */
  readonly repo: string | undefined
}

/** The root that counts for what `key` anchors. Once one was seen there is no way back to the key alone. */
function knownRoot(state: Pick<State, 'roots'>, { key, repo }: Anchored): KnownRoot | undefined {
  return state.roots?.find((known) => known.anchor === key.text && (repo === undefined || known.repo === repo))
}

export function authorityOf(state: Pick<State, 'roots'>, anchored: Anchored): Authority {
  const known = knownRoot(state, anchored)
  if (known === undefined) return { anchor: anchored.key, root: undefined, former: {} }
  return {
    anchor: anchored.key,
    root: parseRoot(utf8Encode(known.root), `root of ${known.repo} in the trusted state`),
    former: known.former,
  }
}

/** Who has to have signed a release that comes from outside. Throws `untrusted` when the root names nobody. */
export function releasedBy({ anchor, root }: Authority, product: string): Signers {
  return root === undefined ? soleSigner(anchor) : releaseSigners(root, product)
}

/** Who has to have signed a pointer. Throws `untrusted` when the root names nobody. */
export function pointedBy({ anchor, root }: Authority, channel: string): Signers {
  return root === undefined ? soleSigner(anchor) : pointerSigners(root, channel)
}

/** One key of those that sign, or signed, releases of a product: enough for what was verified when it came here, and no more than that. */
export function knownBy({ anchor, root, former }: Authority, product: string): Signers {
  if (root === undefined) return soleSigner(anchor)
  const names = [product, '*'].filter((name) => Object.hasOwn(former, name))
  const before = names.map((name) => ({ threshold: 1, keys: (former[name] ?? []).map(parsePublicKey) }))
  const { release } = root.roles
  const current = Object.hasOwn(release, product) || Object.hasOwn(release, '*') ? [releaseSigners(root, product)] : []
  return anySigner([...current, ...before])
}
