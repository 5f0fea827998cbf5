// Files that are taken into the program as they are: `import text from './init.sh?raw'`. The bundler and the test runner both know this.
declare module '*?raw' {
  const text: string
  export default text
}
