"""What crosses the wire between page and server. The types of TypeScript are made from these (`make labext-types`)."""
