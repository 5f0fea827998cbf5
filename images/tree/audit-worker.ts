// The second thread of an audit: it is given records, some hundred at a time, and answers what is wrong with them.
import { parentPort, workerData } from 'node:worker_threads'
import type { Entry } from '../../core/mod.ts'
import type { Finding } from '../../store/mod.ts'
import { auditRecord } from './record-audit.ts'
import { TreeRoot } from './tree-root.ts'

export type AuditTask = { readonly dir: string; readonly mounts: readonly string[] }
export type AuditAnswer = { readonly findings: readonly Finding[]; readonly bytes: number }

const { dir, mounts } = workerData as AuditTask
const root = new TreeRoot(dir, mounts)

parentPort?.on('message', (records: readonly Entry[]) => {
  const findings: Finding[] = []
  let bytes = 0
  for (const record of records)
    auditRecord(root, record, findings, (more) => {
      bytes += more
    })
  parentPort?.postMessage({ findings, bytes } satisfies AuditAnswer)
})
