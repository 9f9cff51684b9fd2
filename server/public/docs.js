// The API's documentation, by Swagger UI, which docs.html loads before this.
/** @type {Record<string, any>} */ (globalThis)["SwaggerUIBundle"]({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  // Without null it asks a server of its makers.
  validatorUrl: null,
});
