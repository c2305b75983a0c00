/**
 * A server of models to clients that people have: {@link dev.performer.server.PerformerServer}.
 * Each API is a package of its own above {@code http} and {@code models}, and knows no other.
 *
 * <p>Public API: changes are in the change log.
 */
package dev.performer.server;
