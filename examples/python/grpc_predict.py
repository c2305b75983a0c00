"""TensorFlow Serving's gRPC API with the package tensorflow-serving-api: python grpc_predict.py 127.0.0.1:8500 lm"""
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TOKENS = [[1, 2, 3, 4]]


def main():
    address, model = sys.argv[1:]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    request.inputs["tokens"].CopyFrom(tf.make_tensor_proto(TOKENS, tf.int32))
    with grpc.insecure_channel(address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    logits = tf.make_ndarray(response.outputs["logits"])
    print("logits", *logits.shape)
    print("likeliest", *logits[0].argmax(-1))
    print(f"largest {logits.max():.4f}")


if __name__ == "__main__":
    main()
