/**
 * Loaded before swap-pool (node --require): whenever it asks the status page at RIG_STATUS, two have been at RIG_VISITED
 * right before: a port of nginx, where a request is answered, or a pool's socket, where it is counted. So no two looks,
 * however close, are without new clients in between. Two, as one other that waited when the backlog was read and was
 * accepted before the count was counts twice.
 */
const net = require('node:net');

const { RIG_STATUS: status, RIG_VISITED: visited } = process.env;
const { connect } = net;

net.connect = (options, ...rest) => {
  if (options?.path !== status) return connect(options, ...rest);
  const socket = new net.Socket();
  // what is written before is sent when it is connected
  socket.connecting = true;
  let there = 2;
  const gone = () => {
    there -= 1;
    if (there === 0) socket.connect(options, ...rest);
  };
  visit(gone);
  visit(gone);
  return socket;
};

function visit(gone) {
  const isPort = /^\d+$/.test(visited);
  const visitor = connect(isPort ? { host: '127.0.0.1', port: Number(visited) } : { path: visited });
  visitor.on('error', () => undefined).on('close', gone);
  visitor.resume();
  // nginx gives up a client that hangs up, FPM counts one that says nothing
  if (isPort) visitor.write('GET /fast.php HTTP/1.0\r\n\r\n');
  else visitor.end();
}
