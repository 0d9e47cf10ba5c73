/**
 * Loaded before swap-pool (node --require): whenever it asks the status page at RIG_STATUS, somebody has come to the pool
 * at RIG_VISITED right before, and has been counted. So no two looks, however close, are without a new client in between.
 */
const net = require('node:net');

const { RIG_STATUS: status, RIG_VISITED: visited } = process.env;
const { connect } = net;

net.connect = (options, ...rest) => {
  if (options?.path !== status) return connect(options, ...rest);
  const socket = new net.Socket();
  // what is written before is sent when it is connected
  socket.connecting = true;
  connect({ path: visited })
    .on('error', () => undefined)
    .on('close', () => socket.connect(options, ...rest))
    .resume()
    .end();
  return socket;
};
