// One record of a tree and what lies at its path: type, size, target, mode, owner, every byte.
import type { Entry } from '../../core/mod.ts'
import type { Finding } from '../../store/mod.ts'
import { cidAt, looksWrong } from './inspection.ts'
import type { TreeRoot } from './tree-root.ts'

/** Adds what is wrong with `record` to `findings`. */
export function auditRecord(root: TreeRoot, record: Entry, findings: Finding[], onBytes: (bytes: number) => void): void {
  const { path, bin } = record
  const problem = looksWrong(root, record)
  if (problem !== undefined) findings.push(bin === null ? { path, problem } : { path, problem, expected: bin.cid })
  // a mode that is wrong says nothing of the bytes
  if (bin === null || (problem !== undefined && problem !== 'wrong mode' && problem !== 'wrong owner')) return
  const got = cidAt(root, path, onBytes)
  if (got === bin.cid) return
  findings.push(
    got === undefined ? { path, problem: 'unreadable', expected: bin.cid } : { path, problem: 'changed', expected: bin.cid, got },
  )
}
