"""What [`LossGuard`] needs: detection of trouble, rollback and preconditions."""
