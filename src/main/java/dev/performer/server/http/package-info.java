/**
 * HTTP: connections, limits, calls and errors. It knows no API and no model.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.http;
