/**
 * Messages of TensorFlow Serving's public API, and the requests that warm a model up. Internal: may
 * change.
 */
package dev.performer.savedmodel.protos;
