"""Bearer tokens of an OIDC issuer: whose they are, by the issuer's public keys."""
