// Roots that nobody may follow: by strangers, by too few, by one key twice, for another repository, in the wrong place.
import { type Role, type RootFact, rootRole } from './documents.ts'
import type { Forger, Hands } from './forger.ts'
import { repo } from './lineage.ts'

const mallory: Role = { threshold: 1, keys: ['mallory'] }

export function forgedRoots(forger: Forger): void {
  const { snapshot, chance, lineage } = forger
  const { root } = snapshot
  const before = rootRole(root)
  const version = (root?.version ?? 0) + 1
  const enough = chance.shuffled(before.keys).slice(0, before.threshold)
  const few = enough.slice(0, -1)
  const base: RootFact = root ?? {
    kind: 'root',
    repo,
    version,
    ...lineage.times(365),
    root: mallory,
    release: { '*': mallory },
    pointer: { '*': mallory },
    floors: {},
    revoked: [],
  }
  // somebody puts himself everywhere
  const taken: RootFact = { ...base, version, root: mallory, release: { '*': mallory }, pointer: { '*': mallory } }
  const shared: RootFact = { ...taken, root: { threshold: 2, keys: [...few, 'mallory', 'eve'] } }
  const put = (what: string, fact: RootFact, hands: Omit<Hands, 'what'>) =>
    forger.root(what, version, forger.sign(fact, { what, ...hands }))
  put('by those whom it names itself', taken, { by: ['mallory'] })
  put('by too few of those before and by those whom it names', shared, { by: [...few, 'mallory', 'eve'] })
  put('by one of those before, under all names, and by those whom it names', taken, {
    by: [...few.flatMap((one) => [one, one, one]), 'mallory'],
  })
  put('by a stranger under the id of a keeper', taken, { by: ['mallory'], as: enough[0] ?? 'anna' })
  put('by those before only', taken, { by: enough })
  put('of another repository', { ...base, version, repo: 'org.example.other', root: before }, { by: enough })
  if (root === undefined) return
  put('with the comment of another document', { ...root, version }, { by: enough, comment: 'foreign' })
  put('that says it is the next but one', { ...root, version: version + 1, repo: 'org.example.other' }, { by: enough })
  const former = lineage.roots.flatMap(({ fact }) => (fact as RootFact).root.keys).filter((key) => !before.keys.includes(key))
  if (former.length > 0)
    put('by keepers of before', { ...taken, root: { threshold: 1, keys: former } }, { by: [...few, ...former.slice(0, 4)] })
}
