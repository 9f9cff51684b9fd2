let last = performance.now();
let cpu = process.cpuUsage();
setInterval(() => {
  const now = performance.now();
  const used = process.cpuUsage(cpu);
  if (now - last > 400)
    console.log("stall", Math.round(now - last), "cpu", Math.round((used.user + used.system) / 1000));
  last = now;
  cpu = process.cpuUsage();
}, 20).unref();
