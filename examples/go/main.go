// TensorFlow Serving's gRPC API without generated code: go run . ../proto/serving.proto 127.0.0.1:8500 lm
//
// The messages are those of the file that is named first, read when the program starts.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

const predict = "/tensorflow.serving.PredictionService/Predict"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: client PROTO HOST:PORT MODEL")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(proto, address, model string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(ctx, proto)
	if err != nil {
		return err
	}
	messages := files[0].Messages()

	request := dynamicpb.NewMessage(messages.ByName("PredictRequest"))
	spec := request.Mutable(field(request, "model_spec")).Message()
	spec.Set(field(spec, "name"), protoreflect.ValueOfString(model))
	spec.Set(field(spec, "signature_name"), protoreflect.ValueOfString("serving_default"))
	inputs := request.Mutable(field(request, "inputs")).Map()
	row(inputs.Mutable(protoreflect.ValueOfString("tokens").MapKey()).Message(), 1, 2, 3, 4)

	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	response := dynamicpb.NewMessage(messages.ByName("PredictResponse"))
	if err := connection.Invoke(ctx, predict, request, response); err != nil {
		return err
	}
	logits := response.Get(field(response, "outputs")).Map().Get(protoreflect.ValueOfString("logits").MapKey())
	if !logits.IsValid() {
		return fmt.Errorf("the answer has no logits")
	}
	print(logits.Message())
	return nil
}

func field(message protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	return message.Descriptor().Fields().ByName(name)
}

// row fills a tensor with int32 [1, len(ids)].
func row(tensor protoreflect.Message, ids ...int32) {
	const int32s = 3 // DT_INT32
	tensor.Set(field(tensor, "dtype"), protoreflect.ValueOfEnum(int32s))
	shape := tensor.Mutable(field(tensor, "tensor_shape")).Message()
	dims := shape.Mutable(field(shape, "dim")).List()
	for _, size := range []int64{1, int64(len(ids))} {
		dim := dims.AppendMutable().Message()
		dim.Set(field(dim, "size"), protoreflect.ValueOfInt64(size))
	}
	var content []byte
	for _, id := range ids {
		content = binary.LittleEndian.AppendUint32(content, uint32(id))
	}
	tensor.Set(field(tensor, "tensor_content"), protoreflect.ValueOfBytes(content))
}

// print shows logits [B, L, V]: their shape, the likeliest token at each position of the first row, and the largest.
func print(logits protoreflect.Message) {
	shape := logits.Get(field(logits, "tensor_shape")).Message()
	dims := shape.Get(field(shape, "dim")).List()
	var sizes [3]int
	for i := range sizes {
		dim := dims.Get(i).Message()
		sizes[i] = int(dim.Get(field(dim, "size")).Int())
	}
	var values []float32
	content := logits.Get(field(logits, "tensor_content")).Bytes()
	for ; len(content) >= 4; content = content[4:] {
		values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(content)))
	}
	numbers := logits.Get(field(logits, "float_val")).List() // the other way to send them
	for i := 0; i < numbers.Len(); i++ {
		values = append(values, float32(numbers.Get(i).Float()))
	}
	fmt.Println("logits", sizes[0], sizes[1], sizes[2])
	fmt.Print("likeliest")
	largest := float32(math.Inf(-1))
	for i := 0; i < sizes[1]; i++ {
		row := values[i*sizes[2] : (i+1)*sizes[2]]
		best := 0
		for j, value := range row {
			if value > row[best] {
				best = j
			}
		}
		largest = max(largest, row[best])
		fmt.Print(" ", best)
	}
	fmt.Printf("\nlargest %.4f\n", largest)
}
