/**
 * TensorFlow Serving's gRPC API: PredictionService and ModelService, with health and reflection.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.grpc;
