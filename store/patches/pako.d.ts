// pako under the name of its version: what it makes is what that version makes.
declare module 'pako-2.1.0' {
  export const deflate: typeof import('pako').deflate
}
