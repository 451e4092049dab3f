"""Whether limits hold over several gateways: a load of mixed fates, and a judge that sees only its outside."""
