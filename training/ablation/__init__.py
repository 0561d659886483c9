"""What each lever brought: stored predictions of trained members -> one table with intervals."""
