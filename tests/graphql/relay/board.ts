// Documents as Relay's users write them: pages of a connection, refetching by id, updates of lists.
import { graphql } from "relay-runtime";

export const query = graphql`
  query boardQuery($id: ID!, $search: String) {
    ...board_customers @arguments(search: $search)
    node(id: $id) {
      __typename
      ...board_card @alias(as: "card")
    }
    viewer {
      name
    }
  }
`;

export const customers = graphql`
  fragment board_customers on Query
  @refetchable(queryName: "boardCustomersPage")
  @argumentDefinitions(
    first: { type: "Int", defaultValue: 20 }
    after: { type: "String" }
    search: { type: "String" }
  ) {
    customers(first: $first, after: $after, search: $search, orderBy: [TIER_SCORE_DESC])
      @connection(key: "board_customers") {
      __id
      totalCount
      edges {
        node {
          ...board_card
        }
      }
    }
  }
`;

export const card = graphql`
  fragment board_card on Customer
  @refetchable(queryName: "boardCardAgain")
  @argumentDefinitions(last: { type: "Int", defaultValue: 5 }, before: { type: "String" }) {
    id
    name
    tier
    purchaseTotal {
      amount
      currency
    }
    persons(last: $last, before: $before) @connection(key: "board_card_persons") {
      edges {
        node {
          name
          role
        }
      }
    }
  }
`;

export const create = graphql`
  mutation boardCreateMutation($input: CreateCustomerInput!, $connections: [ID!]!) {
    createCustomer(input: $input) {
      customer @prependNode(connections: $connections, edgeTypeName: "CustomerEdge") {
        ...board_card
      }
      errors {
        code
        path
        message
      }
    }
  }
`;

export const changes = graphql`
  subscription boardChangesSubscription($after: String) {
    customerChanged(after: $after) {
      action
      customer {
        ...board_card
      }
      position
    }
  }
`;
