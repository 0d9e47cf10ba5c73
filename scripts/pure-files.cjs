/**
 * The files that only compute: no node:*, no package, and bad input is answered with a value.
 * For eslint.config.js and .dependency-cruiser.cjs.
 */
module.exports = [
  'src/duration.ts',
  'src/glob.ts',
  'src/deploy/drain-pace.ts',
  'src/deploy/state.ts',
  'src/fastcgi/record.ts',
  ...'address backup bystanders edit exchange generations lexer listens lua parser references settings sites spelling title tree uses'
    .split(' ')
    .map((name) => `src/nginx/${name}.ts`),
  ...'adopt fpm-file render site words'.split(' ').map((name) => `src/init/${name}.ts`),
  'src/pool/unit.ts',
  ...'event failure finding lives phrase question warning'
    .split(' ')
    .map((name) => `src/ui/message/${name}.ts`),
  'src/ui/text.ts',
];
