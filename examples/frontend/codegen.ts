import type { CodegenConfig } from "@graphql-codegen/cli";

export default {
  schema: "schema.graphql", // guanxi schema --tenant acme > schema.graphql
  documents: "src/**/*.ts",
  generates: {
    "src/gql/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        enumsAsTypes: true,
        onlyOperationTypes: true,
        useTypeImports: true,
        defaultScalarType: "string", // Date, DateTime and Decimal
      },
    },
  },
} satisfies CodegenConfig;
