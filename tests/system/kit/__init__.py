"""What the system tests are made of: pools, web servers, clients, and the means to wait for them."""
