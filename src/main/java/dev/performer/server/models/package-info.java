/**
 * Models that are served: names, versions and labels, loaded and unloaded while requests go on.
 * Nothing here knows a network API.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.models;
