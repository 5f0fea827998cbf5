// Where liblzma lies as WebAssembly. A file of its own: a program of one file brings it along instead (test/build.mjs).
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

export function liblzmaWasm(): Promise<Uint8Array> {
  return readFile(createRequire(import.meta.url).resolve('liblzma-5.8.2/wasm/liblzma.wasm'))
}
