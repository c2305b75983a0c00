"""OpenAI's own client: python openai_client.py http://127.0.0.1:8501 lm"""
import sys

import openai


def main():
    url, model = sys.argv[1:]
    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    whole = client.completions.create(model=model, prompt="MKT", max_tokens=20, seed=1)
    print("text MKT" + whole.choices[0].text)
    pieces = client.completions.create(model=model, prompt="MKT", max_tokens=20, seed=1, stream=True)
    print("text MKT" + "".join(piece.choices[0].text for piece in pieces))
    vector = client.embeddings.create(model=model, input="MKTAYI").data[0].embedding
    print("embedding", len(vector))


if __name__ == "__main__":
    main()
