// All that is asked of guanxi; `npm run generate` makes their types.
import { graphql } from "./gql";

export const Start = graphql(`
  query Start {
    tenant {
      name
    }
    viewer {
      name
    }
    enumLabels(names: ["IndustryClass", "Lifecycle", "Tier"]) {
      name
      values {
        value
        label
      }
    }
  }
`);

export const Card = graphql(`
  fragment Card on Customer {
    id
    name
    nameEn
    industryClass
    lifecycle
    tier
    tierScore
    stewardName
    office {
      name
    }
    purchaseTotal {
      amount
      currency
    }
  }
`);

export const Column = graphql(`
  query Column($where: CustomerWhere!, $search: String, $after: String) {
    customers(
      where: $where
      search: $search
      first: 10
      after: $after
      orderBy: [TIER_SCORE_DESC]
    ) {
      pageInfo {
        hasNextPage
        endCursor
      }
      edges {
        node {
          ...Card
        }
      }
    }
  }
`);

export const Counts = graphql(`
  query Counts($search: String) {
    S: customers(where: { tier: { eq: S } }, search: $search) {
      totalCount
    }
    A: customers(where: { tier: { eq: A } }, search: $search) {
      totalCount
    }
    B: customers(where: { tier: { eq: B } }, search: $search) {
      totalCount
    }
    C: customers(where: { tier: { eq: C } }, search: $search) {
      totalCount
    }
    none: customers(where: { tier: { isNull: true } }, search: $search) {
      totalCount
    }
  }
`);

export const Changes = graphql(`
  subscription Changes($after: String) {
    customerChanged(after: $after) {
      action
      customer {
        ...Card
      }
      position
    }
  }
`);
